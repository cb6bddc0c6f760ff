# Filled by the folders that install something; this file keeps the install rules of the top level.
