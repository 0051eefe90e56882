"""The only room that speaks SQL. Imports payment_core. Everything else asks it in words and gets structs."""
