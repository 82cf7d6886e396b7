"""External money: gateways, payment attempts, notifications, settlement, refunds, bills, the simulator."""
