-- The ledger's database, and Prefect's own: to lose the second is harmless.
CREATE DATABASE ledger;
CREATE DATABASE prefect;
