"""What stands beside an accuracy: chance, shuffled wells, other positions, control wells; and a verdict that rests on them."""
