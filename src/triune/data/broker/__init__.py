"""A broker that speaks Kafka's protocol, for one machine: topics are files of the workspace."""
