//! A throw-away cluster of real etcd processes, and a load that watches it migrate.
