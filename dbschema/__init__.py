"""The one home of AstrID's tables: typed SQLAlchemy models and their migrations."""
