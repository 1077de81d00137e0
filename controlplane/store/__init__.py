"""The state store: tables, migrations, and one repository for each noun."""
