//! The socket between driver and supervisor: one JSON message a packet.

use std::{
    io::IoSlice,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::order::MAX_MESSAGE;

/// Most descriptors that come along with a message: the parts of a container and its standard streams.
const MAX_DESCRIPTORS: usize = 4;

/// Both ends.
pub(crate) fn pair() -> std::io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

/// Sends a message, with descriptors for the other side.
pub(crate) fn send(
    socket: impl AsFd,
    message: &impl Serialize,
    descriptors: &[BorrowedFd<'_>],
) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MAX_MESSAGE {
        return Err(std::io::Error::other(format!(
            "a message of {} bytes; at most {MAX_MESSAGE} can be sent",
            bytes.len()
        )));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let parts = [IoSlice::new(&bytes)];
    rustix::io::retry_on_intr(|| sendmsg(&socket, &parts, &mut ancillary, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// The next packet with its descriptors; empty when the other side is gone.
pub(crate) fn receive_packet(
    socket: impl AsFd,
    flags: RecvFlags,
) -> std::io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut parts = [std::io::IoSliceMut::new(&mut bytes)];
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        match recvmsg(&socket, &mut parts, &mut ancillary, flags) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Ok((Vec::new(), Vec::new())),
            other => break other?,
        }
    };
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    bytes.truncate(received.bytes);
    Ok((bytes, descriptors))
}

/// The next message with its descriptors; `None` when the other side is gone.
pub(crate) fn receive<T: DeserializeOwned>(
    socket: impl AsFd,
) -> std::io::Result<Option<(T, Vec<OwnedFd>)>> {
    let (bytes, descriptors) = receive_packet(socket, RecvFlags::empty())?;
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(&bytes)?, descriptors)))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn messages_arrive_whole_with_their_descriptors() {
        let (one, other) = pair().expect("a pair");
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        send(&one, &"with", &[writer.as_fd()]).expect("sent");
        send(&one, &"without", &[]).expect("sent");
        drop(writer);
        let (first, descriptors) = receive::<String>(&other).expect("received").expect("one");
        assert_eq!((first.as_str(), descriptors.len()), ("with", 1));
        let (second, none) = receive::<String>(&other).expect("received").expect("one");
        assert_eq!((second.as_str(), none.len()), ("without", 0));
        drop(descriptors);
        let mut rest = String::new();
        reader
            .read_to_string(&mut rest)
            .expect("the copy was the last one");
        drop(one);
        assert!(receive::<String>(&other).expect("the end").is_none());
    }

    #[test]
    fn what_is_too_long_is_not_sent() {
        let (one, _other) = pair().expect("a pair");
        send(&one, &"x".repeat(MAX_MESSAGE), &[]).expect_err("too long");
    }
}
