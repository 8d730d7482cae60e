-- Needs what 01 makes. Nobody but the owner sees Langflow's tables, those to come included.
REVOKE ALL ON SCHEMA langflow FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA langflow REVOKE ALL ON TABLES FROM PUBLIC;
