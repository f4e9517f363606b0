"""Where resources, rights and gateways come from: a cluster, asked as the person who asks, or `dicomroute run`."""
