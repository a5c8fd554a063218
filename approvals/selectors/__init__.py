"""Reading requests and who may decide them."""
