"""The administrator's console at /admin/: stock Django admin that writes through services only."""
