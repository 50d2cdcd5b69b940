"""The operator: ConfigMaps that change become Jobs that run `tidelock apply`. It opens no database connection.

resource    MigrationTarget: its schema, its specification as a Workload, its conditions
view        what the watches have told, reduced to what decisions need
feeds       the watches
lease       one leader at a time
attempt     Job and decision, one from the other
loop        decide (`core/reconciling`) and act, target by target
metrics     numbers for Prometheus, and the small server for them
manifests   how it is installed
"""
