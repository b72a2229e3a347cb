"""The feature store: definitions by Feast, an offline and an online engine of our own."""
