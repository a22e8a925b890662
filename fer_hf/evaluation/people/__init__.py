"""A model beside the people who voted on the same pictures."""
