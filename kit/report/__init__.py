"""Work folder and score.json -> one page that a person shows to others. Each section is a module; `sections` lists them."""
