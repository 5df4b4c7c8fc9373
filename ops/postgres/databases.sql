-- Run once, when the server's data folder is made: each service has a database of its own.
CREATE DATABASE product;
CREATE DATABASE "order";
CREATE DATABASE stock;
CREATE DATABASE ratings;
