//! Remote control requests and replies.
