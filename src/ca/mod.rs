//! Makes certificates: the authority, profiles, keys, the PKI directory and its ledger.
