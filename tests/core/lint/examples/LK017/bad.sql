CREATE DOMAIN hectares AS numeric CHECK (value > 0);
