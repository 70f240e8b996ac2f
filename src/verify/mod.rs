//! Judges certificates the way etcd, a Go program, does.
