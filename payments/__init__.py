"""Money from outside: gateways, payment attempts, notifications, settlement, the simulator."""
