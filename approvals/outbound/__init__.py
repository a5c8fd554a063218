"""What leaves for people: notices by mail. Read `delivery`, then `mail`."""
