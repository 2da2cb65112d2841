"""How far a network's resistance holds: attackers from weak to strong, checks, and a report card."""
