//! The cluster that this process runs in.

use std::path::{Path, PathBuf};

/// Where the API server is, and who this pod is to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    /// The URL of the API server, without a slash at its end.
    pub(super) base: String,
    /// The folder of the service account: `token`, `ca.crt`, `namespace`.
    pub(super) account: PathBuf,
}

/// Where a pod finds its service account, unless it is told otherwise.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

impl Cluster {
    /// Returns the cluster that this process runs in, or what is missing. `account` is the
    /// folder of the service account, where it is not the usual one.
    pub(crate) fn of_this_pod(account: Option<&Path>) -> Result<Self, String> {
        let account = account.unwrap_or(Path::new(ACCOUNT));
        Self::find(|name| std::env::var(name).ok(), account)
    }

    fn find(env: impl Fn(&str) -> Option<String>, account: &Path) -> Result<Self, String> {
        let variable = |name: &str| {
            let value = env(name).filter(|value| !value.is_empty());
            value.ok_or_else(|| format!("no environment variable {name}"))
        };
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        for file in ["token", "ca.crt"] {
            let path = account.join(file);
            if !path.is_file() {
                return Err(format!("no file {}", path.display()));
            }
        }
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host,
        };
        Ok(Self {
            base: format!("https://{host}:{port}"),
            account: account.to_owned(),
        })
    }

    /// Returns the namespace of the pod, or why it is not known.
    pub(crate) fn namespace(&self) -> Result<String, String> {
        let path = self.account.join("namespace");
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        match text.trim() {
            "" => Err(format!("{}: it is empty", path.display())),
            name => Ok(name.to_owned()),
        }
    }

    #[cfg(test)]
    pub(crate) fn at(base: String, account: PathBuf) -> Self {
        Self { base, account }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_pod_knows_its_cluster_and_what_it_lacks() {
        let folder = std::env::temp_dir().join(format!("celeriac-pod-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&folder).unwrap();
        let env = |host: &'static str| {
            move |name: &str| match name {
                "KUBERNETES_SERVICE_HOST" => Some(host.to_owned()),
                "KUBERNETES_SERVICE_PORT" => Some("443".to_owned()),
                _ => None,
            }
        };
        let found = Cluster::find(|_| None, &folder);
        assert_eq!(
            found,
            Err("no environment variable KUBERNETES_SERVICE_HOST".to_owned())
        );
        let error = Cluster::find(env("::1"), &folder).unwrap_err();
        assert!(error.ends_with("token"), "{error}");
        for (file, text) in [("token", "t"), ("ca.crt", ""), ("namespace", "work\n")] {
            std::fs::write(folder.join(file), text).unwrap();
        }
        let cluster = Cluster::find(env("::1"), &folder).unwrap();
        assert_eq!(cluster.base, "https://[::1]:443");
        assert_eq!(cluster.namespace().unwrap(), "work");
        // Without the cluster's authority nobody is asked: not with one of the system either.
        let error = super::super::Client::new(&cluster).unwrap_err();
        assert!(
            error.ends_with("expected certificates, found none"),
            "{error}"
        );
        std::fs::write(folder.join("namespace"), "\n").unwrap();
        assert!(cluster.namespace().unwrap_err().ends_with("it is empty"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
