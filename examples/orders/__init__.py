"""An order as a saga: stock, payment with retry, a parcel; undone in reverse when one fails."""
