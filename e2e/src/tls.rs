//! HTTPS for axum, on a free port of the loopback interface.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Accepts connections and shakes hands.
pub(crate) struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl TlsListener {
    /// With the key pair of a folder, `cert.pem` and `key.pem`.
    pub(crate) async fn bind(folder: &Path) -> Result<Self> {
        let certificate = CertificateDer::from_pem_file(folder.join("cert.pem"))?;
        let key = PrivateKeyDer::from_pem_file(folder.join("key.pem"))?;
        let config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
        let tcp = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self { tcp, tls: TlsAcceptor::from(Arc::new(config)) })
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // Whoever fails to connect tries again.
            if let Ok((stream, address)) = self.tcp.accept().await
                && let Ok(stream) = self.tls.accept(stream).await
            {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
