"""The routes of the Gaunt product, held against each other, against e3nn and against the definition."""
