CREATE TABLE IF NOT EXISTS parcels (id bigint PRIMARY KEY, note text DEFAULT 'a_text_may_be_as_long_as_it_likes_and_is_stored_as_it_stands_without_a_cut');
