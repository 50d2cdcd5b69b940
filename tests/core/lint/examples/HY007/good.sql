-- The password is set by Kubernetes, from a Secret: postgres://dashboard:$PASSWORD@db/farm
ALTER ROLE dashboard LOGIN PASSWORD NULL;
