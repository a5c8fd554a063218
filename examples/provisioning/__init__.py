"""Cloud provisioning: a plan with its price, approval, resources in order, undone if one fails."""
