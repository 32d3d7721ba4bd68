-- The database of MLflow's accounts, beside that of its runs.
CREATE DATABASE accounts;
