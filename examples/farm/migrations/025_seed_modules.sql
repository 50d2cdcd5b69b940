-- The modules that come with the platform. A tenant's own settings are never touched.

INSERT INTO marketplace_modules (id, display_name, version, remote_entry, scope, metadata) VALUES
    ('ndvi', 'Vegetation index', '2.1.0', '/modules/ndvi/remoteEntry.js', 'ndvi',
     '{"icon": "leaf", "routes": ["/ndvi"]}'),
    ('weather', 'Weather', '1.4.2', '/modules/weather/remoteEntry.js', 'weather',
     '{"icon": "cloud", "routes": ["/weather", "/weather/alerts"]}'),
    ('irrigation', 'Irrigation; valves and plans', '0.9.0', '/modules/irrigation/remoteEntry.js', 'irrigation',
     '{"icon": "drop", "beta": true}')
ON CONFLICT (id) DO UPDATE
    SET display_name = EXCLUDED.display_name,
        version = EXCLUDED.version,
        remote_entry = EXCLUDED.remote_entry,
        metadata = EXCLUDED.metadata
    WHERE marketplace_modules.version <> EXCLUDED.version;
