"""What the features are about."""

from featurestore import Entity

customer_id = Entity("customer_id", description="Somebody who pays")
merchant_id = Entity("merchant_id", description="Somebody who is paid: a shop, or one terminal of it")
