"""What freezing saves, predicted and measured."""
