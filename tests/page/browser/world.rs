//! The pair with its status addresses, on ports of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use dev_idp::{DEFAULT_AUDIENCE, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DevIdp};
use jwks_validator::JwtValidator;
use service_kit::config::Reader;
use service_kit::shutdown::{Shutdown, ShutdownKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

pub(crate) struct Pair {
    pub(crate) public_admin: SocketAddr,
    pub(crate) protected_admin: SocketAddr,
    pub(crate) validator: JwtValidator,
    public: SocketAddr,
    shutdown: Shutdown,
    tasks: Vec<JoinHandle<()>>,
}

impl Pair {
    pub(crate) async fn ready(idp: &DevIdp) -> Self {
        let any = "127.0.0.1:0";
        let variables = BTreeMap::from([
            ("ISSUER", idp.issuer()),
            ("CLIENT_ID", DEFAULT_CLIENT_ID),
            ("CLIENT_SECRET", DEFAULT_CLIENT_SECRET),
            ("API_AUDIENCE", DEFAULT_AUDIENCE),
            ("PUBLIC_DATA_ADDR", any),
            ("PROTECTED_DATA_ADDR", any),
            ("PUBLIC_DATA_ADMIN_ADDR", any),
            ("PROTECTED_DATA_ADMIN_ADDR", any),
        ]);
        let mut reader = Reader::new(&variables);
        let protected = protected_data::Config::read(&mut reader);
        let mut public = public_data::Config::read(&mut reader);
        reader.finish().unwrap();
        service_kit::metrics::install();
        let protected = protected_data::Service::bind(&protected).await.unwrap();
        let url = format!("http://{}", protected.local_addr());
        public.protected_data = url.parse().unwrap();
        let public = public_data::Service::bind(&public).await.unwrap();
        let shutdown = Shutdown::manual(Duration::from_secs(5));
        let pair = Self {
            public_admin: public.admin_addr().unwrap(),
            protected_admin: protected.admin_addr().unwrap(),
            validator: protected.validator().clone(),
            public: public.local_addr(),
            tasks: vec![
                tokio::spawn(protected.run(shutdown.clone())),
                tokio::spawn(public.run(shutdown.clone())),
            ],
            shutdown,
        };
        assert!(pair.validator.wait_ready().await);
        pair
    }

    /// The status of `GET /api/public/data`.
    pub(crate) async fn public_data(&self) -> u16 {
        let mut stream = TcpStream::connect(self.public).await.unwrap();
        let request = "GET /api/public/data HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) async fn stop(self) {
        self.shutdown.begin(ShutdownKind::Interrupt);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}
