"""The process supervisor behind `triune.operations.services.supervisor`: supervisord."""
