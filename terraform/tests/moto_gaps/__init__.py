"""What moto 5.2 lacks for this stack. Each module's `fill()` patches one service."""
