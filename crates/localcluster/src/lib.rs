//! The Kubernetes API in process, generic over the custom resources it is given.
