//! What Raft's quorum means for members that are down.

/// Whether the members that are up have a quorum.
pub const fn has_quorum(members: usize, down: usize) -> bool {
    (members - down) * 2 > members
}

/// Whether a quorum stays while one more member restarts.
pub const fn can_spare_one_more(members: usize, down: usize) -> bool {
    down < members && has_quorum(members, down + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_must_stay() {
        assert!(has_quorum(1, 0) && has_quorum(3, 1) && has_quorum(5, 2));
        assert!(!has_quorum(1, 1) && !has_quorum(2, 1) && !has_quorum(4, 2));
        assert!(can_spare_one_more(3, 0) && can_spare_one_more(5, 1));
        assert!(!can_spare_one_more(1, 0) && !can_spare_one_more(2, 0) && !can_spare_one_more(3, 1));
    }
}
