//! The socket as a file: made out of sight, moved into place, taken away at the end.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use contract::helper::SOCKET_NAME;
use thiserror::Error;

/// Bytes of a socket's path that `sockaddr_un` has room for, beside the NUL that ends it.
const LONGEST_PATH: usize = 107;

/// A listening socket in its place. Its file goes when this does, unless another took its place.
#[derive(Debug)]
pub struct Socket {
    /// What to accept connections from.
    pub listener: UnixListener,
    /// The file in its place.
    pub file: SocketFile,
}

/// The file of a socket, removed when this goes.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// Why the socket cannot be created.
#[derive(Debug, Error)]
pub enum SocketError {
    /// Another server answers there.
    #[error(
        "another program already answers on {}: one launcher-hook is enough; end it, or give this one a \
         --socket-dir of its own",
        .path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else has the name.
    #[error("{} exists and is not a socket: remove it, or choose another --socket-dir", .path.display())]
    NoSocket {
        /// The file.
        path: PathBuf,
    },
    /// No client could name it.
    #[error(
        "{} is too long for a socket: {length} bytes, and {LONGEST_PATH} are the most; choose a --socket-dir that is \
         {} bytes shorter",
        .path.display(),
        .length.saturating_sub(LONGEST_PATH)
    )]
    TooLong {
        /// The socket.
        path: PathBuf,
        /// How long that is.
        length: usize,
    },
    /// The file system refuses.
    #[error(
        "no socket in {}: {problem}; --socket-dir must be a folder that this user can write to",
        .directory.display()
    )]
    Directory {
        /// The folder.
        directory: PathBuf,
        /// What the kernel says.
        problem: io::Error,
    },
}

impl Socket {
    /// Listens in `directory`, which is created if it does not exist. A socket on which nobody answers is replaced.
    ///
    /// # Errors
    /// If the place is taken or its path too long, or the folder cannot be written.
    pub fn listen(directory: &Path) -> Result<Self, SocketError> {
        let path = directory.join(SOCKET_NAME);
        // The socket is bound under a shorter name and renamed: nothing else would notice.
        let length = path.as_os_str().len();
        if length > LONGEST_PATH {
            return Err(SocketError::TooLong { path, length });
        }
        check_free(&path)?;
        Self::place(directory, path)
            .map_err(|problem| SocketError::Directory { directory: directory.to_owned(), problem })
    }

    fn place(directory: &Path, path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        // virt-launcher counts every file beside the socket as a socket of its own, but no folder.
        let workshop = directory.join(format!(".new-{}", std::process::id()));
        // A container's processes have the same ids each time, and the folder outlives one that was killed.
        match fs::remove_dir_all(&workshop) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(&workshop)?,
        }
        let placed = Self::make_in(&workshop, path);
        fs::remove_dir_all(&workshop)?;
        placed
    }

    fn make_in(workshop: &Path, path: PathBuf) -> io::Result<Self> {
        let new = workshop.join("socket");
        let listener = UnixListener::bind(&new)?;
        listener.set_nonblocking(true)?;
        let metadata = fs::symlink_metadata(&new)?;
        fs::rename(&new, &path)?;
        Ok(Self { listener, file: SocketFile { path, device: metadata.dev(), inode: metadata.ino() } })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = |metadata: &Metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| ours(&metadata)) {
            // The folder may be gone by now; then so is the file.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn check_free(path: &Path) -> Result<(), SocketError> {
    match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            Err(SocketError::NoSocket { path: path.to_owned() })
        }
        Ok(_) if UnixStream::connect(path).is_ok() => Err(SocketError::InUse { path: path.to_owned() }),
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        crate::sysfs::entries(directory).collect()
    }

    #[test]
    fn only_the_socket_is_left_in_the_folder_and_it_goes_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("made/here");
        let socket = Socket::listen(&directory).unwrap();
        assert_eq!(names(&directory), [SOCKET_NAME]);
        UnixStream::connect(socket.path()).unwrap();
        drop(socket);
        assert_eq!(names(&directory), [""; 0]);
    }

    #[test]
    fn a_stale_socket_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET_NAME);
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let _socket = Socket::listen(folder.path()).unwrap();
        UnixStream::connect(path).unwrap();
    }

    #[test]
    fn what_an_ended_process_of_the_same_id_left_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let workshop = folder.path().join(format!(".new-{}", std::process::id()));
        fs::create_dir(&workshop).unwrap();
        drop(UnixListener::bind(workshop.join("socket")).unwrap());
        let socket = Socket::listen(folder.path()).unwrap();
        assert_eq!(names(folder.path()), [SOCKET_NAME]);
        UnixStream::connect(socket.path()).unwrap();
    }

    /// A folder whose socket has a path of `length` bytes.
    fn folder_for(root: &Path, length: usize) -> PathBuf {
        let filling = length - root.join(SOCKET_NAME).as_os_str().len() - "/".len();
        root.join("x".repeat(filling))
    }

    #[test]
    fn the_longest_path_can_be_connected_to() {
        let folder = tempfile::tempdir().unwrap();
        let socket = Socket::listen(&folder_for(folder.path(), LONGEST_PATH)).unwrap();
        assert_eq!(socket.path().as_os_str().len(), LONGEST_PATH);
        UnixStream::connect(socket.path()).unwrap();
    }

    #[test]
    fn a_path_that_nobody_could_connect_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder_for(folder.path(), LONGEST_PATH + 3);
        let error = Socket::listen(&directory).unwrap_err().to_string();
        assert!(error.contains("110 bytes, and 107 are the most"), "{error}");
        assert!(error.ends_with("3 bytes shorter"), "{error}");
        assert!(!directory.exists());
    }

    #[test]
    fn a_live_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Socket::listen(folder.path()).unwrap();
        let error = Socket::listen(folder.path()).unwrap_err();
        assert!(matches!(error, SocketError::InUse { .. }), "{error}");
        UnixStream::connect(first.path()).unwrap();
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET_NAME);
        fs::write(&path, "precious").unwrap();
        let error = Socket::listen(folder.path()).unwrap_err();
        assert!(matches!(error, SocketError::NoSocket { .. }), "{error}");
        assert_eq!(fs::read_to_string(path).unwrap(), "precious");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Socket::listen(&file.join("below")).unwrap_err();
        assert!(error.to_string().contains("file/below"), "{error}");
    }

    #[test]
    fn the_end_of_one_does_not_take_the_socket_of_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let first = Socket::listen(folder.path()).unwrap();
        let path = first.path().to_owned();
        fs::remove_file(&path).unwrap();
        let second = Socket::listen(folder.path()).unwrap();
        drop(first);
        assert_eq!(second.path(), path);
        UnixStream::connect(path).unwrap();
    }
}
