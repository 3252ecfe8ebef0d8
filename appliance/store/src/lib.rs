//! Durable bytes on sled: group commit, generations, snapshots.
