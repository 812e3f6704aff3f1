-- Run once, by the server's own first start; AstrID's database is POSTGRES_DB.
CREATE DATABASE dagster;
CREATE DATABASE mlflow;
