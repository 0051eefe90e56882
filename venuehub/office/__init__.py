"""What `venuehub office` does at the desk: money, guests, cards, hubs, slips. May import every room."""
