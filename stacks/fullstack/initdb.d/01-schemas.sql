-- Run before every migration, in the order of the names: see scripts/migrate.
-- Langflow's tables stay out of the way of the habits'.
CREATE SCHEMA IF NOT EXISTS langflow;
COMMENT ON SCHEMA langflow IS 'Langflow''s own tables';
