"""A real Kubernetes without containers: etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes
on 127.0.0.1, and a node whose containers are local processes.

    binaries   finds the programs, or builds them once
    daemon     a process that ends with the tests
    identity   certificates and kubeconfigs
    cluster    the control plane and its nodes
    namespace  what a test works in

The node is a process of its own (`python -m tests.rig.kube.node`):

    node       registers itself, sends its sign of life, watches for pods
    pod        the life of one pod; status says it as the API wants it
    container  one process in namespaces of its own; environment, volumes and images are what it sees
    loglines   what `kubectl logs` reaches
"""
