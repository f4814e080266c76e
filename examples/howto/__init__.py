"""The programs of the documentation's how-to pages."""
