"""What is wrong and what helps: an installation examined while parts of it may be down."""
